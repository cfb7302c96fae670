const NAMELESS = new Set(["pilot", "guest"]);

/** Who gave no name is called what everybody else without one is called: the seat tells them apart, on this page only. */
export function shownName(name: string, seat: number): string {
  return NAMELESS.has(name) ? `pilot ${seat}` : name;
}
