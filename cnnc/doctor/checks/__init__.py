"""The checks, one idea a file: each takes a patient and gives findings."""
