"""`python -m fusion_daemon` is the `fusion-daemon` command."""

from fusion_daemon.cli import main

if __name__ == "__main__":
    main()
