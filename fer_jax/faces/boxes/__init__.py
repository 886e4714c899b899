"""Faces known by a box alone, of any detector: checked, framed and followed."""
