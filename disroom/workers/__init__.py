"""Several instances behind the same listening ports, each a process that this one looks after.

The parent listens, and deals accepted connections out to the workers over unix sockets. It knows
nothing of chat; a worker is a whole instance, and `disroom.worker` is what it runs.
"""
