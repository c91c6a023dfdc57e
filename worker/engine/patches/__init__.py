"""Patch matching: an image made of patches of the styles, without a network. The start of `init: patches`.

Elad and Milanfar, "Style Transfer Via Texture Synthesis", IEEE Transactions on Image Processing 26(5), 2017.
`colors` gives the content the styles' colors, `sampling` cuts patches out of the styles, `search` finds the best one
for each place, `synthesis` blends overlapping patches, `matching` is the sequence of iterations from coarse to fine.
"""
