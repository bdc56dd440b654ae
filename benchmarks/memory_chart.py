"""Pictures by context: bytes that each system needs, and tokens a second, from the rows of `loss.grad memory`."""
import html, math, re

COLORS = {"vanilla": "#c0392b", "memory-efficient": "#d98a00", "blockwise": "#2a9d5c"}
LEFT, TOP, WIDTH, HEIGHT = 80, 40, 560, 320
MODEL = "@loss.grad by context (GPT, 4 layers, embed 256, 4 heads, batch 1, f32)"


def points_of(rows, field):
    lines = {}
    for row in rows:
        if row["work"] == "loss.grad memory" and field in row:
            context, system = re.search(r"T(\d+) (\S+)", row["shape"]).groups()
            lines.setdefault(system, []).append((int(context), row[field]))
    return {system: sorted(points) for system, points in lines.items()}


def bytes_text(size):
    return f"{size / 2 ** 30:g} GiB" if size >= 2 ** 30 else f"{size / 2 ** 20:g} MiB"


def picture(lines, title, show):
    """Points over context, both axes by powers of two."""
    every = [point for points in lines.values() for point in points]
    if not every:
        return ""
    x0, x1 = math.log2(min(c for c, _ in every)), math.log2(max(c for c, _ in every)) + 1e-9
    y0, y1 = math.floor(math.log2(min(b for _, b in every))), math.ceil(math.log2(max(b for _, b in every))) + 1e-9
    x = lambda context: LEFT + WIDTH * (math.log2(context) - x0) / (x1 - x0)
    y = lambda value: TOP + HEIGHT * (1 - (math.log2(value) - y0) / (y1 - y0))
    text = lambda px, py, content, more="": f'<text x="{px:.0f}" y="{py:.0f}"{more}>{html.escape(content)}</text>'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 170}" height="{TOP + HEIGHT + 50}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>', text(LEFT, 20, title, ' font-weight="bold"')]
    for power in range(y0, math.floor(y1) + 1):
        parts += [f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(2 ** power):.0f}" y2="{y(2 ** power):.0f}" stroke="#ddd"/>',
                  text(LEFT - 8, y(2 ** power) + 4, show(2 ** power), ' text-anchor="end"')]
    for context in sorted({c for c, _ in every}):
        parts.append(text(x(context), TOP + HEIGHT + 20, str(context), ' text-anchor="middle"'))
    for system, points in lines.items():
        path = " ".join(f"{x(c):.1f},{y(b):.1f}" for c, b in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[system]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(c):.1f}" cy="{y(b):.1f}" r="4" fill="{COLORS[system]}"><title>{system}, context {c}: {show(round(b, 1))}</title></circle>'
                  for c, b in points]
        parts.append(text(x(points[-1][0]) + 10, y(points[-1][1]) + 4, system, f' fill="{COLORS[system]}"'))
    return "\n".join(parts + ["</svg>"]) + "\n"


def pictures(rows):
    """What a file's name ends with, and the picture."""
    return {".svg": picture(points_of(rows, "planned_bytes"), f"planned bytes of {MODEL}", bytes_text),
            "-throughput.svg": picture(points_of(rows, "tokens_per_second"), f"tokens a second of {MODEL}", lambda rate: f"{rate:g}")}
