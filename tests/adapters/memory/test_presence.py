"""MemoryPresence beyond the contract: what it does for tests of those who use the port."""

import itertools

import pytest

from disroom.adapters.memory.presence import MemoryPresence
from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.chat.errors import PresenceUnavailable
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change
from tests.contract.witness import Witness, promise

ALICE, BOB = Nick.parse("alice"), Nick.parse("bob")
LOBBY = RoomName.parse("lobby")


async def instances(store: MemoryPresenceStore, *witnesses: Witness) -> list[MemoryPresence]:
    """Instances that share a store, one for each witness."""
    ids = map(str, itertools.count())
    made = [
        MemoryPresence(store, instance_name=f"i{n}", fresh_id=lambda: next(ids))
        for n in range(len(witnesses))
    ]
    for presence, witness in zip(made, witnesses, strict=True):
        presence.watch(witness)
        await presence.start()
    return made


@promise
async def test_a_store_that_is_cut_off_refuses_and_remembers_releases() -> None:
    """While presence cannot be reached users are told so; who left meanwhile has left."""
    store, witness = MemoryPresenceStore(), Witness()
    (presence,) = await instances(store, witness)
    await presence.claim("a", ALICE)
    await presence.join("a", LOBBY, 0)
    store.cut()
    for work in (
        presence.claim("b", BOB),
        presence.rename("a", BOB),
        presence.set_away("a", ""),
        presence.leave("a", LOBBY, ""),
        presence.users(LOBBY),
        presence.listing(LOBBY, 1, 0),
        presence.arm("a", "k"),
        presence.suspend("a", 1),
        presence.resume("a", "k", "l"),
        presence.settle("a"),
        presence.rooms(1),
        presence.versions([LOBBY]),
        presence.locate(ALICE),
        presence.emptied(),
        presence.note_empty(LOBBY, 1),
        presence.forget_empty(LOBBY, 1),
        presence.release("a", "bye"),
    ):
        with pytest.raises(PresenceUnavailable):
            await work
    assert witness.story(LOBBY) == ["+alice"]
    store.restore()
    assert witness.story(LOBBY) == ["+alice", "-alice (bye)"]
    assert witness.uncertainties == 1
    await presence.claim("b", ALICE)


@promise
async def test_an_instance_that_dies_is_announced_by_the_others() -> None:
    """A test can let a server die."""
    store, witness = MemoryPresenceStore(), Witness()
    dying, _ = await instances(store, Witness(), witness)
    await dying.claim("a", ALICE)
    await dying.join("a", LOBBY, 0)
    dying.end("server lost")
    assert witness.story(LOBBY) == ["+alice", "-alice (server lost)"]


@promise
async def test_changes_made_by_who_is_told_of_one_come_after_it() -> None:
    """All hear the same order even when hearing leads to a further change."""
    store = MemoryPresenceStore()

    class Greeter(Witness):
        def changed(self, change: Change) -> None:
            super().changed(change)
            if len(self.changes) == 1:
                with pytest.raises(StopIteration):
                    first.join("b", LOBBY, 0).send(None)

    greeter, other = Greeter(), Witness()
    first, _ = await instances(store, greeter, other)
    await first.claim("a", ALICE)
    await first.claim("b", BOB)
    await first.join("a", LOBBY, 0)
    assert greeter.story(LOBBY) == other.story(LOBBY) == ["+alice", "+bob"]


@promise
async def test_versions_grow_though_the_clock_stands_still() -> None:
    """A room that was empty for a moment is not mistaken for its former self."""
    store = MemoryPresenceStore(now=lambda: 1.0)
    (presence,) = await instances(store, Witness())
    await presence.claim("a", ALICE)
    versions = []
    for _ in range(3):
        versions.append((await presence.join("a", LOBBY, 0)).version)
        await presence.leave("a", LOBBY, "")
    assert versions == [1_000_000, 1_000_002, 1_000_004]
