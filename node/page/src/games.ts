/**
 * What the two demo games' servers say and take. World coordinates are whole units, y grows downwards like on a screen.
 * An empty list may come as null.
 */

export interface Ship {
  name: string;
  x: number;
  y: number;
  /** Where it aims, in degrees 0-359: 0 is right, 90 is down. */
  a: number;
  /** 0-100. */
  hp: number;
  score: number;
  bot: boolean;
  /** Alive; false while it waits to come back. */
  up: boolean;
}

export interface Shot { id: number; x: number; y: number; a: number; by: number }

export interface ArenaState {
  size: [width: number, height: number];
  ships: Record<number, Ship>;
  shots: Shot[] | null;
}

export interface ArenaInput { dx: number; dy: number; angle: number; fire: boolean }

export type ArenaEvents = { down: { seat: number; by: number } };

export interface BoardState {
  /** Nine cells, row by row: 0 or the seat that took it. */
  board: number[];
  seats: number[] | null;
  names: Record<number, string>;
  turn: number;
  winner: number;
  over: boolean;
  /** The winning cells. */
  line: number[] | null;
  /** Room time in nanoseconds when the mover forfeits; 0: no clock runs. */
  deadline: number;
  /** Room time in nanoseconds of this state. */
  now: number;
}

export interface BoardInput { cell: number }
