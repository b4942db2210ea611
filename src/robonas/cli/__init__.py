"""The command line: parse options, build objects, call the library, print."""
