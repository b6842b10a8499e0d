"""pano-sound: 360° footage in, an ordinary video that looks where the sound comes from out."""

__version__ = "0.1.0"
