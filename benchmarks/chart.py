"""A picture of benchmark rows: the share of a measured peak of each, its goal as a line, green where the row holds; rows about
something else as text."""
import html, re

SHARES = "of_peak", "of_bandwidth"
HEIGHT, LEFT, WIDTH, RIGHT = 22, 600, 420, 330


def label(row):
    return f"{row['work']} " + re.sub(r"(\w+)=", r"\1 ", row["shape"]) + (f" {row['dtype']}" if row["dtype"] != "f32" else "")


def text(x, y, content, more=""):
    return f'<text x="{x:.0f}" y="{y}"{more}>{html.escape(content)}</text>'


def picture_of(row, y):
    """The parts right of the label."""
    color = "#2a9d5c" if row["holds"] else "#d98a00"
    peers = ", ".join(f"{ratio:g} x {name}" for name, ratio in row["vs"].items())
    figure, goal = re.match(r"([\w.]+) [<>]= ([\d.]+)", row["goal"]).groups()
    if figure not in SHARES:
        value = f"{figure} {row[figure]:.2f}" if figure in row else ""  # else the goal is about a peer
        return [text(LEFT, y + 13, ", ".join(filter(None, (value, peers))) + f" (goal: {row['goal']})", f' fill="{color}"')]
    share, goal = row[figure], LEFT + WIDTH * float(goal)
    rate = f"{row['gflops']} GFLOP/s" if "gflops" in row else f"{row['gbytes_per_second']} GB/s"
    return [f'<rect x="{LEFT}" y="{y}" width="{WIDTH * share:.0f}" height="{HEIGHT - 5}" fill="{color}"><title>{rate}</title></rect>',
            f'<line x1="{goal:.0f}" x2="{goal:.0f}" y1="{y - 2}" y2="{y + HEIGHT - 3}" stroke="black"/>',
            text(max(LEFT + WIDTH * share, goal) + 8, y + 13, ", ".join(filter(None, (f"{share:.2f}", peers))))]


def svg(rows):
    rows = [row for row in rows if "holds" in row]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{HEIGHT * len(rows) + 60}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             text(LEFT, 20, "share of the measured FMA peak or memory bandwidth (line: goal)", ' font-weight="bold"')]
    for i, row in enumerate(rows):
        y = 35 + HEIGHT * i
        parts += [text(LEFT - 8, y + 13, label(row), ' text-anchor="end"'), *picture_of(row, y)]
    return "\n".join(parts + ["</svg>"]) + "\n"
