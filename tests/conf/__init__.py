"""The files of conf/ and docker/, used as an operator would use them."""
