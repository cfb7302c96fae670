import type { Pauses } from "./pauses.js";

const SHOWN_MS = 20_000;
const COLORS: Record<string, string> = { frozen: "#8fd0ff", thawed: "#8fd0ff", draining: "#f2c14e", ready: "#7fd19b" };
const BAD = "#f0736a";
const LABEL = 11;
/** Shorter holes are drawn, and their length is not told; nor is that of a hole so near to the last one, in pixels. */
const LEAST_TOLD_MS = 250;
const APART = 26;

/**
 * drawStrip draws the last seconds as a pulse: a stroke for each frame that arrived, a red hole where there was none,
 * and marks where nodes came to harm (above) and where the room got a new owner (below).
 */
export function drawStrip(canvas: HTMLCanvasElement, pauses: Pauses, now: number, tickMs: number): void {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  if (canvas.width !== Math.round(width * ratio)) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const g = canvas.getContext("2d")!;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  const x = (at: number): number => width - ((now - at) / SHOWN_MS) * width;
  const [top, bottom] = [LABEL + 5, height - LABEL];
  g.fillStyle = "#0b1118";
  g.fillRect(0, top, width, bottom - top);

  const frames = pauses.frames;
  g.fillStyle = "#ffb454";
  for (const at of frames) g.fillRect(x(at), top + 7, 1, bottom - top - 14);
  g.textAlign = "center";
  g.font = "600 9.5px ui-monospace, Menlo, Consolas, monospace";
  let told = -APART;
  for (let i = 1; i <= frames.length; i++) {
    const [from, to] = [frames[i - 1]!, frames[i] ?? now];
    if (to - from <= 3 * tickMs || x(to) < 0) continue;
    g.fillStyle = "#f0736a59";
    g.fillRect(x(from), top, x(to) - x(from), bottom - top);
    const middle = Math.min(width - 14, Math.max(14, (x(from) + x(to)) / 2));
    if (to - from < LEAST_TOLD_MS || middle - told < APART) continue;
    told = middle;
    g.fillStyle = BAD;
    g.fillText(`${Math.round(to - from)}`, middle, height - 1);
  }
  for (const { at, what } of pauses.faults) {
    if (x(at) < -4) continue;
    g.fillStyle = COLORS[what] ?? BAD;
    g.fillRect(x(at) - 0.5, LABEL - 1, 1, bottom - LABEL + 1);
    mark(g, x(at), LABEL / 2, what);
  }
  g.fillStyle = "#7fd19b";
  for (const { at } of pauses.takeovers) {
    g.beginPath();
    g.moveTo(x(at), bottom - 6);
    g.lineTo(x(at) + 4, bottom);
    g.lineTo(x(at) - 4, bottom);
    g.fill();
  }
}

/** A cross, two bars or a triangle: one can tell them without their colours. */
function mark(g: CanvasRenderingContext2D, x: number, y: number, what: string): void {
  if (what === "frozen") {
    g.fillRect(x - 3.5, y - 4, 2.4, 8);
    g.fillRect(x + 1.1, y - 4, 2.4, 8);
    return;
  }
  g.beginPath();
  if (what === "thawed" || what === "draining" || what === "ready") {
    const d = what === "draining" ? 1 : -1;
    g.moveTo(x - 4, y - 3.5 * d);
    g.lineTo(x + 4, y - 3.5 * d);
    g.lineTo(x, y + 3.5 * d);
    g.fill();
    return;
  }
  g.strokeStyle = g.fillStyle;
  g.lineWidth = 2;
  g.moveTo(x - 3.5, y - 3.5);
  g.lineTo(x + 3.5, y + 3.5);
  g.moveTo(x + 3.5, y - 3.5);
  g.lineTo(x - 3.5, y + 3.5);
  g.stroke();
}
