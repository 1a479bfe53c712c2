"""Run by test_imports: the web application as gunicorn starts it, real requests, then a list."""

from __future__ import annotations

import json
import os
import sys
from io import BytesIO
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "searchapp.settings.main"

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from searchapp import webserver
from searchapp.wsgi import application


def main(key: str, picture: Path) -> None:
    assert application is not None
    webserver.post_worker_init(None)
    changed = BytesIO()
    Image.open(picture).transpose(Image.Transpose.ROTATE_90).save(changed, "JPEG")
    visitor = Client(SERVER_NAME="127.0.0.1")
    owner = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {key}"})

    def file() -> SimpleUploadedFile:
        return SimpleUploadedFile("turned.jpg", changed.getvalue(), "image/jpeg")

    first = owner.get("/api/v1/datasets/demo/images/").json()["results"][0]["id"]
    slug = owner.post(
        "/api/v1/datasets/", {"name": "imports"}, content_type="application/json"
    ).json()["slug"]
    uploaded = owner.post(f"/api/v1/datasets/{slug}/images/", {"file": file()})
    answers = {
        "upload": uploaded,
        "job": owner.get(f"/api/v1/jobs/{uploaded.json()['job']}/"),
        "search": owner.post("/api/v1/search/", {"image": file(), "dataset": "demo"}),
        "search by image": visitor.get(f"/search/?image={first}"),
        "search page": visitor.post("/search/", {"picture": file()}, follow=True),
        "delete": owner.delete(f"/api/v1/datasets/{slug}/"),
    }
    for path in ("/", "/datasets/", "/datasets/demo/", f"/images/{first}/", "/credits/", "/login/",
                 "/admin/login/", "/api/docs/", "/api/schema/", "/api/v1/datasets/", "/readyz",
                 f"/media/{first}/original", f"/media/{first}/256.webp"):  # fmt: skip
        answers[path] = visitor.get(path)
    failed = [f"{name}: {each.status_code}" for name, each in answers.items()
              if each.status_code >= 300]  # fmt: skip
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"failed": failed, "modules": modules}))


main(sys.argv[1], Path(sys.argv[2]))
