/** Where the nodes of an acyclic graph lie: rank by rank along the flow, each near what it reads. */

export interface GraphEdge {
  from: number;
  to: number;
}

export interface GraphLayout {
  /** Top left corner of each node. */
  places: ReadonlyMap<number, { x: number; y: number }>;
  width: number;
  height: number;
}

export interface GraphWish {
  /** Nodes in an order in which each stands after what it reads. */
  nodes: readonly number[];
  edges: readonly GraphEdge[];
  nodeWidth: number;
  nodeHeight: number;
  /** Between two ranks, and between two nodes of a rank. */
  rankGap: number;
  nodeGap: number;
  /** Whether the flow goes right rather than down. */
  goesRight: boolean;
}

const SWEEPS = 4;

/** Lays a graph out as Sugiyama does: ranks by the longest way, then order by the middle of the neighbours. */
export function layoutGraph(wish: GraphWish): GraphLayout {
  const { nodes, edges, nodeWidth, nodeHeight, rankGap, nodeGap, goesRight } = wish;
  const ranks = ranksOf(nodes, edges);
  const order = orderOf(nodes, edges, ranks);
  const [along, across] = goesRight ? [nodeWidth, nodeHeight] : [nodeHeight, nodeWidth];
  const widest = Math.max(0, ...order.map((rank) => rank.length * (across + nodeGap) - nodeGap));
  const places = new Map<number, { x: number; y: number }>();
  order.forEach((rank, at) => {
    const taken = rank.length * (across + nodeGap) - nodeGap;
    rank.forEach((node, place) => {
      const main = at * (along + rankGap);
      const side = (widest - taken) / 2 + place * (across + nodeGap);
      places.set(node, goesRight ? { x: main, y: side } : { x: side, y: main });
    });
  });
  const length = Math.max(0, order.length * (along + rankGap) - rankGap);
  return { places, width: goesRight ? length : widest, height: goesRight ? widest : length };
}

function ranksOf(nodes: readonly number[], edges: readonly GraphEdge[]): Map<number, number> {
  const ranks = new Map(nodes.map((node) => [node, 0]));
  const inputs = new Map<number, number[]>();
  for (const { from, to } of edges) inputs.set(to, [...(inputs.get(to) ?? []), from]);
  for (const node of nodes) {
    const before = (inputs.get(node) ?? []).filter((from) => from !== node).map((from) => ranks.get(from) ?? 0);
    if (before.length > 0) ranks.set(node, Math.max(...before) + 1);
  }
  // What nobody reads but from far on stands close to its reader, not at the beginning.
  for (const node of [...nodes].reverse()) {
    const readers = edges.filter((edge) => edge.from === node && edge.to !== node).map((edge) => ranks.get(edge.to) ?? 0);
    const isSource = !inputs.has(node);
    if (isSource && readers.length > 0) ranks.set(node, Math.min(...readers) - 1);
  }
  return ranks;
}

function orderOf(nodes: readonly number[], edges: readonly GraphEdge[], ranks: Map<number, number>): number[][] {
  const count = Math.max(-1, ...ranks.values()) + 1;
  const order: number[][] = Array.from({ length: count }, () => []);
  for (const node of nodes) order[ranks.get(node) ?? 0]?.push(node);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const isForward = sweep % 2 === 0;
    const steps = isForward ? order : [...order].reverse();
    const position = new Map(order.flatMap((rank) => rank.map((node, at) => [node, at - (rank.length - 1) / 2] as const)));
    for (const rank of steps) {
      const middle = new Map(
        rank.map((node) => {
          const near = edges.flatMap((edge) =>
            isForward && edge.to === node ? [edge.from] : !isForward && edge.from === node ? [edge.to] : [],
          );
          const sum = near.reduce((total, other) => total + (position.get(other) ?? 0), 0);
          return [node, near.length > 0 ? sum / near.length : (position.get(node) ?? 0)] as const;
        }),
      );
      rank.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
      rank.forEach((node, at) => position.set(node, at - (rank.length - 1) / 2));
    }
  }
  return order;
}

/** The path of an edge between two nodes. */
export function edgePath(layout: GraphLayout, wish: Pick<GraphWish, 'nodeWidth' | 'nodeHeight' | 'goesRight'>, edge: GraphEdge): string {
  const [from, to] = [layout.places.get(edge.from), layout.places.get(edge.to)];
  if (!from || !to) return '';
  const { nodeWidth: w, nodeHeight: h, goesRight } = wish;
  if (goesRight) {
    const [x1, y1, x2, y2] = [from.x + w, from.y + h / 2, to.x, to.y + h / 2];
    const bend = Math.max(24, (x2 - x1) / 2);
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }
  const [x1, y1, x2, y2] = [from.x + w / 2, from.y + h, to.x + w / 2, to.y];
  const bend = Math.max(16, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}
