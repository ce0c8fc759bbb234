"""Counts what was checked and remembers what failed."""


class Checks:
    def __init__(self):
        self.count = 0
        self.failed = []

    def that(self, good, what):
        self.count += 1
        if not good:
            self.failed.append(what)

    def report(self):
        """Prints the tally; the exit code is 1 where nothing was checked or anything failed."""
        for what in self.failed:
            print(f"FAILED  {what}")
        print(f"{self.count} checked, {len(self.failed)} failed")
        return 1 if self.failed or self.count == 0 else 0
