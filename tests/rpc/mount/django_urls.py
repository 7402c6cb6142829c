"""Pages of a Django project."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path


def page(request: Any) -> Any:
    """Return a page."""
    return HttpResponse("a page")


urlpatterns = [path("page", page)]
