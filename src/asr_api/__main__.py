"""`python -m asr_api`: the command line."""

from asr_api.cli import main

if __name__ == "__main__":
    main()
