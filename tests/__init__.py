"""The test suite mirrors the stages: tests/<stage>/test_<what>.py. `make test` runs tests/suite.py."""
