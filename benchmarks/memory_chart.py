"""A picture of bytes by context: what each system needs, from the rows of `loss.grad memory`."""
import html, math, re

COLORS = {"vanilla": "#c0392b", "memory-efficient": "#d98a00", "blockwise": "#2a9d5c"}
LEFT, TOP, WIDTH, HEIGHT = 80, 40, 560, 320


def points_of(rows):
    lines = {}
    for row in rows:
        if row["work"] == "loss.grad memory" and "planned_bytes" in row:
            context, system = re.search(r"T(\d+) (\S+)", row["shape"]).groups()
            lines.setdefault(system, []).append((int(context), row["planned_bytes"]))
    return {system: sorted(points) for system, points in lines.items()}


def svg(rows):
    lines = points_of(rows)
    every = [point for points in lines.values() for point in points]
    if not every:
        return ""
    log = lambda value: math.log2(value)
    x0, x1 = log(min(c for c, _ in every)), log(max(c for c, _ in every)) + 1e-9
    y0, y1 = math.floor(log(min(b for _, b in every))), math.ceil(log(max(b for _, b in every)))
    x = lambda context: LEFT + WIDTH * (log(context) - x0) / (x1 - x0)
    y = lambda size: TOP + HEIGHT * (1 - (log(size) - y0) / (y1 - y0))
    text = lambda px, py, content, more="": f'<text x="{px:.0f}" y="{py:.0f}"{more}>{html.escape(content)}</text>'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 170}" height="{TOP + HEIGHT + 50}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>',
             text(LEFT, 20, "planned bytes of @loss.grad by context (GPT, 4 layers, embed 256, 4 heads, batch 1, f32)", ' font-weight="bold"')]
    for power in range(y0, y1 + 1):
        label = f"{2 ** (power - 30):g} GiB" if power >= 30 else f"{2 ** (power - 20):g} MiB"
        parts += [f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(2 ** power):.0f}" y2="{y(2 ** power):.0f}" stroke="#ddd"/>',
                  text(LEFT - 8, y(2 ** power) + 4, label, ' text-anchor="end"')]
    for context in sorted({c for c, _ in every}):
        parts.append(text(x(context), TOP + HEIGHT + 20, str(context), ' text-anchor="middle"'))
    for system, points in lines.items():
        path = " ".join(f"{x(c):.1f},{y(b):.1f}" for c, b in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[system]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(c):.1f}" cy="{y(b):.1f}" r="4" fill="{COLORS[system]}"><title>{system}, context {c}: {b / 2 ** 20:.1f} MiB</title></circle>'
                  for c, b in points]
        parts.append(text(x(points[-1][0]) + 10, y(points[-1][1]) + 4, system, f' fill="{COLORS[system]}"'))
    return "\n".join(parts + ["</svg>"]) + "\n"
