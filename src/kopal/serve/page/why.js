"use strict";
// Draws what the model sees of a photo, in grey, under the map of an answer: red speaks for the class, blue against it.

const LONGEST = 640, STRENGTH = 0.62, FOR = [204, 26, 13], AGAINST = [26, 77, 204];

function drawMap(canvas, image, found) {
  const { width, height } = found.seen, scale = LONGEST / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff"; // under what is transparent, as the model sees it
  brush.fillRect(0, 0, canvas.width, canvas.height);
  // A picture that the browser cannot show, such as a TIFF, still has a map.
  if (image.naturalWidth) drawSeen(brush, image, found.seen);
  brush.imageSmoothingEnabled = true; // bilinear, from one place's middle to the next one's
  brush.drawImage(tinted(found.map), 0, 0, canvas.width, canvas.height);
}

function drawSeen(brush, image, seen) {
  const wide = image.naturalWidth, high = image.naturalHeight;
  const kept = Math.min(wide / seen.width, high / seen.height) * seen.crop;
  const [keptWide, keptHigh] = [Math.min(wide, seen.width * kept), Math.min(high, seen.height * kept)];
  const { width, height } = brush.canvas;
  brush.imageSmoothingEnabled = Math.max(wide, high) > 64;
  brush.drawImage(image, (wide - keptWide) / 2, (high - keptHigh) / 2, keptWide, keptHigh, 0, 0, width, height);
  brush.globalCompositeOperation = "saturation"; // not every browser has filters on a canvas
  brush.fillStyle = "#808080";
  brush.fillRect(0, 0, width, height);
  brush.globalCompositeOperation = "source-over";
}

function tinted(map) {
  const small = document.createElement("canvas");
  small.width = map[0].length;
  small.height = map.length;
  const strongest = Math.max(...map.flat().map(Math.abs)) || 1;
  const pixels = new ImageData(small.width, small.height);
  map.flat().forEach((worth, place) => {
    const alpha = Math.round((255 * STRENGTH * Math.abs(worth)) / strongest);
    pixels.data.set([...(worth > 0 ? FOR : AGAINST), alpha], 4 * place);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  return small;
}
