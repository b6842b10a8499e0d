from pano_sound.__main__ import main

if __name__ == "__main__":
    main()
