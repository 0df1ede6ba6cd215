"""HTTP for rooms: routes, requests, replies, problems and pages.

This façade is all that a room's routes.py needs, and it imports no server. Whoever runs one takes
`server`, `serving`, `settings`, `principals`, `metrics` and `admin_routes` by their names.
"""

from __future__ import annotations

from fusion_daemon.http.body import body_as
from fusion_daemon.http.pages import PAGE_LIMIT, PAGE_QUERY, Page, bad_cursor, page_of, page_reply
from fusion_daemon.http.problem import Problem, invalid, not_found
from fusion_daemon.http.route import Handler, Principal, Reply, Request, Role, Route, Routes, reply_json

__all__ = [
    "PAGE_LIMIT",
    "PAGE_QUERY",
    "Handler",
    "Page",
    "Principal",
    "Problem",
    "Reply",
    "Request",
    "Role",
    "Route",
    "Routes",
    "bad_cursor",
    "body_as",
    "invalid",
    "not_found",
    "page_of",
    "page_reply",
    "reply_json",
]
