"""Errors of the sync layer: each names where, what was found, what is allowed."""

from __future__ import annotations


class SyncError(Exception):
    """Base of everything the sync layer raises on purpose."""
