/** More than this many at once nobody can see. */
const MOST_PARTICLES = 500;

interface Particle { x: number; y: number; vx: number; vy: number; life: number; span: number; size: number; color: string }
interface Ring { x: number; y: number; life: number; color: string }

/** Effects are what has no meaning for the game: sparks, bursts and the flash of a hit. World units and seconds. */
export class Effects {
  #particles: Particle[] = [];
  #rings: Ring[] = [];
  #due: { at: number; run: () => void }[] = [];
  readonly #flashes = new Map<number, number>(); // by seat: until when, in ms

  constructor(private readonly calm: boolean) {}

  /** Runs later, when the moment shown has come to where it happened. */
  later(at: number, run: () => void): void {
    if (this.#due.length < 64) this.#due.push({ at, run });
  }

  flash(seat: number, now: number): void {
    this.#flashes.set(seat, now + 140);
  }

  flashing(seat: number, now: number): boolean {
    return (this.#flashes.get(seat) ?? 0) > now;
  }

  spark(x: number, y: number, color: string): void {
    this.#scatter(x, y, color, this.calm ? 2 : 6, 130, 0.3);
  }

  burst(x: number, y: number, color: string): void {
    this.#scatter(x, y, color, this.calm ? 8 : 34, 230, 0.8);
    this.#scatter(x, y, "#fff4e0", this.calm ? 2 : 10, 110, 0.45);
    this.#rings.push({ x, y, life: 1, color });
  }

  step(now: number, seconds: number): void {
    const ready = this.#due.filter((d) => d.at <= now);
    this.#due = this.#due.filter((d) => d.at > now);
    for (const d of ready) d.run();
    const drag = Math.exp(-2.4 * seconds);
    for (const p of this.#particles) {
      p.x += p.vx * seconds;
      p.y += p.vy * seconds;
      p.vx *= drag;
      p.vy *= drag;
      p.life -= seconds / p.span;
    }
    for (const r of this.#rings) r.life -= seconds * 1.9;
    this.#particles = this.#particles.filter((p) => p.life > 0);
    this.#rings = this.#rings.filter((r) => r.life > 0);
    for (const [seat, until] of this.#flashes) if (until < now) this.#flashes.delete(seat);
  }

  draw(g: CanvasRenderingContext2D): void {
    for (const r of this.#rings) {
      g.globalAlpha = r.life * 0.7;
      g.strokeStyle = r.color;
      g.lineWidth = 1 + 3 * r.life;
      g.beginPath();
      g.arc(r.x, r.y, 10 + 62 * (1 - r.life * r.life), 0, 2 * Math.PI);
      g.stroke();
    }
    for (const p of this.#particles) {
      g.globalAlpha = Math.min(1, p.life * 1.6);
      g.fillStyle = p.color;
      g.fillRect(p.x - p.size / 2, p.y - p.size / 2, p.size, p.size);
    }
    g.globalAlpha = 1;
  }

  #scatter(x: number, y: number, color: string, count: number, speed: number, span: number): void {
    for (let i = 0; i < count && this.#particles.length < MOST_PARTICLES; i++) {
      const angle = Math.random() * 2 * Math.PI;
      const v = speed * (0.2 + 0.8 * Math.random());
      this.#particles.push({ x, y, vx: Math.cos(angle) * v, vy: Math.sin(angle) * v, life: 1, span: span * (0.5 + Math.random()), size: 1.5 + 2.5 * Math.random(), color });
    }
  }
}
