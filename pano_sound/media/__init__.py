"""Reading and writing media files: what a file holds, its frames with their time stamps, its sound, and
the output. All use of PyAV is in this folder and only here."""
