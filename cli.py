from pano_sound.commands import main

main()
