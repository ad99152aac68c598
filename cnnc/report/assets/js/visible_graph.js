/**
 * What there is to draw when some groups are open and the others closed: for each open group its members and the edges
 * between them. An edge that crosses the border of an open group goes through a *port* there, so that each group can be
 * laid out on its own: outside, the edge ends at the port of a box; inside, it starts at the same port.
 */

/** Members and edges of one open group. */
class Scope {
  constructor(group) {
    this.group = group;
    this.edges = new Map();
    this.inPorts = new Map();
    this.outPorts = new Map();
  }

  /** Edges between the same ends are one, with all of their values. */
  addEdge(from, to, value) {
    const key = `${endKey(from)}>${endKey(to)}`;
    if (!this.edges.has(key)) this.edges.set(key, { key, from, to, values: new Map() });
    this.edges.get(key).values.set(value.name, value);
  }
}

/** An end of an edge: a member, and the name of its port if the member is an open group. */
function end(member, port = null) {
  return { member, port };
}

function endKey({ member, port }) {
  return port === null ? member.id : `${member.id}#${port}`;
}

/** The border of the group itself, seen from inside. */
export const BORDER = { id: "border", isGroup: false };

/**
 * The scopes of all open groups, by path.
 *
 * @param tree what `buildTree` returned
 * @param {Set<string>} open paths of open groups; the whole graph always is
 */
export function visibleScopes(tree, open) {
  const scopes = new Map();
  const visit = (group) => {
    scopes.set(group.path, new Scope(group));
    for (const child of group.children) if (child.isGroup && open.has(child.path)) visit(child);
  };
  visit(tree.root);
  for (const edge of tree.edges) addLifted(edge, scopes);
  return scopes;
}

/** From the whole graph down to a leaf, or to the closed group that hides it. */
function visiblePath(leaf, scopes) {
  const path = [leaf];
  for (let group = leaf.parent; group; group = group.parent) path.unshift(group);
  const closed = path.findIndex((item) => item.isGroup && !scopes.has(item.path));
  return closed < 0 ? path : path.slice(0, closed + 1);
}

function addLifted({ from, to, value }, scopes) {
  const source = visiblePath(from, scopes);
  const target = visiblePath(to, scopes);
  let common = 0;
  while (common < source.length && source[common] === target[common]) common += 1;
  if (common === source.length) return;
  const port = value.name;
  const endIn = (path, depth) => end(path[depth], depth < path.length - 1 ? port : null);

  scopes.get(source[common - 1].path).addEdge(endIn(source, common), endIn(target, common), value);
  for (let depth = common; depth < source.length - 1; depth += 1) {
    const scope = scopes.get(source[depth].path);
    scope.outPorts.set(port, value);
    scope.addEdge(endIn(source, depth + 1), end(BORDER, `out:${port}`), value);
  }
  for (let depth = common; depth < target.length - 1; depth += 1) {
    const scope = scopes.get(target[depth].path);
    scope.inPorts.set(port, value);
    scope.addEdge(end(BORDER, `in:${port}`), endIn(target, depth + 1), value);
  }
}
