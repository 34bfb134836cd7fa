"""What kopal serve is measured against: the usual FastAPI server around the same network in eager PyTorch.

python benchmarks/plain_server.py PORT        needs fastapi, uvicorn, python-multipart, torch and timm
"""

from __future__ import annotations

import io
import sys

import fastapi
import numpy as np
import timm
import torch
import uvicorn
from PIL import Image

app = fastapi.FastAPI()
model = timm.create_model("tf_efficientnet_lite0", num_classes=10).eval()


@app.post("/predict")
def predict(file: fastapi.UploadFile) -> dict[str, object]:
    image = Image.open(io.BytesIO(file.file.read())).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float().div(127.5).sub(1)
    with torch.inference_mode():
        shares = model(pixels).softmax(1)[0]
    best = int(shares.argmax())
    return {"label": best, "probability": float(shares[best])}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
