"""Errors for the person at the command line, with the exit code they end in."""

from __future__ import annotations


class UserError(Exception):
    """Bad input, settings or options: says where, what was found, what is allowed, what to do."""

    exit_code = 2


class Refused(UserError):
    """A brake refused the plan until a person allows it."""

    exit_code = 3


class JobFailed(UserError):
    """A job ran and something in it failed; what was done is kept."""

    exit_code = 1
