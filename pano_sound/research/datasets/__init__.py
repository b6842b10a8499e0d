"""Sets of pictures and sounds, as others have laid them out on disk, read as examples for training and measuring."""
