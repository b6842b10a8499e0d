"""Reading and writing media files: probing, frames with their time stamps, sound, and the output. Only this folder uses
PyAV."""
