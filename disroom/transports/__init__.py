"""Twisted protocols and factories: thin shells around the codecs."""
