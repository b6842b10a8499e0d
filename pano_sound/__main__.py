"""python -m pano_sound"""

from .commands import main

main()
