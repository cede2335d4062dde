"""``python -m farebox``."""

from farebox.cli.main import main

if __name__ == "__main__":
    main()
