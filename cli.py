from pano_sound.__main__ import main

main()
