import { describe, expect, it } from 'vitest';

import { edgePath, layoutGraph, type GraphEdge, type GraphWish } from '../../src/lib/graph';

const wish = (count: number, edges: GraphEdge[], goesRight = true): GraphWish => ({
  nodes: Array.from({ length: count }, (_, at) => at),
  edges,
  nodeWidth: 100,
  nodeHeight: 40,
  rankGap: 50,
  nodeGap: 10,
  goesRight,
});

const pairs = (...edges: [number, number][]): GraphEdge[] => edges.map(([from, to]) => ({ from, to }));

describe('the layout of a graph', () => {
  it('puts each node past all that it reads', () => {
    const edges = pairs([0, 1], [0, 2], [2, 3], [1, 3], [3, 4], [0, 4]);
    for (const goesRight of [true, false]) {
      const { places } = layoutGraph(wish(5, edges, goesRight));
      for (const { from, to } of edges) {
        const [a, b] = [places.get(from)!, places.get(to)!];
        expect(goesRight ? b.x - a.x : b.y - a.y).toBeGreaterThanOrEqual(goesRight ? 150 : 90);
      }
    }
  });

  it('lets no two nodes overlap, and stays within its size', () => {
    const edges = pairs([0, 5], [1, 5], [2, 6], [3, 6], [5, 7], [6, 7], [4, 7]);
    const layout = layoutGraph(wish(8, edges));
    const all = [...layout.places.values()];
    all.forEach((a, at) => {
      expect(a.x + 100).toBeLessThanOrEqual(layout.width);
      expect(a.y + 40).toBeLessThanOrEqual(layout.height);
      for (const b of all.slice(at + 1)) expect(Math.abs(a.x - b.x) >= 100 || Math.abs(a.y - b.y) >= 40).toBe(true);
    });
  });

  it('does not cross what needs no crossing', () => {
    const { places } = layoutGraph(wish(4, pairs([0, 3], [1, 2])));
    const isAbove = (a: number, b: number) => places.get(a)!.y < places.get(b)!.y;
    expect(isAbove(0, 1)).toBe(isAbove(3, 2));
  });

  it('stands a source close to its first reader', () => {
    const { places } = layoutGraph(wish(4, pairs([0, 2], [2, 3], [1, 3])));
    expect(places.get(1)!.x).toBe(places.get(2)!.x);
  });

  it('bears a graph of no node, of one that reads itself, and of unknown ones', () => {
    expect(layoutGraph(wish(0, []))).toMatchObject({ width: 0, height: 0 });
    expect(layoutGraph(wish(1, pairs([0, 0]))).places.get(0)).toEqual({ x: 0, y: 0 });
    const layout = layoutGraph(wish(1, []));
    expect(edgePath(layout, wish(1, []), { from: 0, to: 9 })).toBe('');
  });
});
