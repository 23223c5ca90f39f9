// Both channels of a recording, and where nothing was recorded.

const HEIGHT = 160;

/** `outline` as of `/v1/recordings/{id}/waveform`. */
export function drawWaveform(canvas, outline, recording, names) {
  const colour = (name) => {
    canvas.style.color = `var(${name})`; // so that the browser says which colour that is, light or dark
    return getComputedStyle(canvas).color;
  };
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 800;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const x = (sample) => sample / Math.max(outline.duration_samples, 1) * width;
  pen.fillStyle = colour("--closed");
  pen.fillRect(0, 0, width, HEIGHT);
  pen.fillStyle = colour("--open");
  for (const each of recording.intervals) pen.fillRect(x(each.start_sample), 0, x(each.end_sample) - x(each.start_sample), HEIGHT);
  outline.channels.forEach((channel, number) => {
    const middle = HEIGHT / 4 + number * HEIGHT / 2;
    pen.fillStyle = colour(`--channel-${number + 1}`);
    channel.max.forEach((most, bucket) => {
      const high = most / 32768 * HEIGHT / 4, low = channel.min[bucket] / 32768 * HEIGHT / 4;
      if (most || channel.min[bucket]) {
        pen.fillRect(x(bucket * outline.samples_per_bucket), middle - high, Math.max(width / channel.max.length, 0.5), Math.max(high - low, 1));
      }
    });
    pen.fillStyle = colour("--ink");
    pen.font = "12px system-ui, sans-serif";
    pen.fillText(names[number], 6, number * HEIGHT / 2 + 14);
  });
}
