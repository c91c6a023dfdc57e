"""Image files: decoding and encoding, color profiles, 16 bits per channel, transparency."""
