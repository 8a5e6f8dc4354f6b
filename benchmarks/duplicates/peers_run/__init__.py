"""One script per tool, run as a process: FOLDER RESULT. The peers' have nothing of the project."""
