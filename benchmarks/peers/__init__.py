"""The job through the public interface of each peer: a program for each, for an environment of its own."""
