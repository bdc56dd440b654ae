"""A picture of benchmark rows: the share of the measured peak of each, its goal as a line, green where the row holds."""
import html, re


def label(row):
    return f"{row['work']} " + re.sub(r"(\w+)=", r"\1 ", row["shape"])


def svg(rows):
    rows = [row for row in rows if "of_peak" in row]
    height, left, width = 22, 430, 420
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 250}" height="{height * len(rows) + 60}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{left}" y="20" font-weight="bold">share of the measured FMA peak (line: goal)</text>']
    for i, row in enumerate(rows):
        y = 35 + height * i
        goal = float(re.search(r"of_peak >= ([\d.]+)", row["goal"])[1])
        peers = ", ".join(f"{ratio:g} x {name}" for name, ratio in row["vs"].items())
        parts += [f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{html.escape(label(row))}</text>',
                  f'<rect x="{left}" y="{y}" width="{width * row["of_peak"]:.0f}" height="{height - 5}" '
                  f'fill="{"#2a9d5c" if row["holds"] else "#d98a00"}"><title>{row["gflops"]} GFLOP/s</title></rect>',
                  f'<line x1="{left + width * goal:.0f}" x2="{left + width * goal:.0f}" y1="{y - 2}" y2="{y + height - 3}" stroke="black"/>',
                  f'<text x="{left + width * max(row["of_peak"], goal) + 8:.0f}" y="{y + 13}">{row["of_peak"]:.2f}  {html.escape(peers)}</text>']
    return "\n".join(parts + ["</svg>"]) + "\n"
