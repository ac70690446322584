"""`python -m emotion_classifiers`: the command `emotion`."""

from emotion_classifiers.cli import entry_point

if __name__ == "__main__":
    entry_point()
