// SPDX-License-Identifier: MIT
// Draws the plots of a report page. Each is {kind: "points" | "lines" | "bars", x: {title, labels?}, y: {title},
// series: [{name, points: [{x, y, low?, high?}], look?}], horizontal?, stacked?, ramp?}, or {choose, choices: [{name,
// plot}]}. Series of one look, by default their number, have one colour, marker and dash.
(() => {
  "use strict";
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const markers = ["circle", "rect", "triangle", "rectRot", "star", "crossRot", "rectRounded", "cross"];
  const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Colour of series i of n: one of eight, or a place between two where order is what counts.
  function colour(i, n, ramp) {
    if (!ramp) {
      const all = style("--series").split(" ");
      return all[i % all.length];
    }
    const ends = style("--ramp").split(" ").map((c) => [1, 3, 5].map((at) => parseInt(c.slice(at, at + 2), 16)));
    const share = n > 1 ? i / (n - 1) : 0;
    return `rgb(${ends[0].map((c, k) => Math.round(c + share * (ends[1][k] - c))).join(", ")})`;
  }

  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });

  // The interval of every point that has one.
  const whiskers = {
    id: "whiskers",
    afterDatasetsDraw(chart) {
      const context = chart.ctx;
      const flat = chart.options.indexAxis === "y";
      const scale = flat ? chart.scales.x : chart.scales.y;
      context.save();
      context.lineWidth = 1.5;
      chart.data.datasets.forEach((dataset, i) => {
        if (!chart.isDatasetVisible(i)) return;
        context.strokeStyle = dataset.whisker;
        dataset.data.forEach((point, k) => {
          if (point.low === undefined) return;
          const element = chart.getDatasetMeta(i).data[k];
          const at = flat ? element.y : element.x;
          const ends = [scale.getPixelForValue(point.low), scale.getPixelForValue(point.high)];
          const line = (...ends) => {
            const [a, b] = flat ? ends.map(([across, along]) => [along, across]) : ends;
            context.moveTo(...a);
            context.lineTo(...b);
          };
          context.beginPath();
          line([at, ends[0]], [at, ends[1]]);
          for (const end of ends) line([at - 4, end], [at + 4, end]);
          context.stroke();
        });
      });
      context.restore();
    },
  };

  function datasets(plot) {
    const n = plot.series.length;
    return plot.series.map((series, i) => {
      const look = series.look ?? i;
      const own = colour(look, n, plot.ramp);
      const aside = plot.kind === "points" ? (i - (n - 1) / 2) * Math.min(0.15, 0.7 / n) : 0;  // beside each other
      const value = (p) => {
        if (plot.horizontal) return { x: p.y, y: p.x, low: p.low, high: p.high };
        return plot.kind === "points" ? { ...p, x: plot.x.labels.indexOf(p.x) + aside } : p;
      };
      return {
        label: series.name,
        data: series.points.map(value),
        borderColor: own,
        backgroundColor: own,
        whisker: plot.kind === "bars" ? style("--text") : own,
        borderDash: plot.ramp ? [] : dashes[look % dashes.length],
        borderWidth: plot.kind === "bars" ? 0 : 2,
        showLine: plot.kind === "lines",
        pointStyle: plot.ramp ? "line" : markers[look % markers.length],
        pointRadius: plot.ramp || plot.kind === "bars" ? 0 : 4,
        pointHitRadius: 8,
      };
    });
  }

  // Labels that fit `room` pixels and still differ where the whole ones do: of key=value lists the values, without what
  // all have in common at both ends, at last with a gap in the middle. The whole label is in the tooltip.
  function fitted(labels, room, context) {
    const fits = (all) => all.every((label) => context.measureText(label).width <= room);
    const distinct = (all) => new Set(all).size === new Set(labels).size;
    if (fits(labels)) return labels;
    const split = (all) => all.map((label) => label.split(/(?<=[ ./_])/));
    const values = labels.map((label) => label.replace(/(^|[ (])[^ =(]+=/g, "$1"));
    let short = distinct(values) ? values : labels;
    if (fits(short)) return short;
    if (short.length > 1) {
      const parts = split(short);
      const shared = (at) => parts.every((own) => own.length > 1 && at(own) === at(parts[0]));
      let [front, back] = [false, false];
      for (; shared((own) => own[0]); front = true) parts.forEach((own) => own.shift());
      for (; shared((own) => own[own.length - 1]); back = true) parts.forEach((own) => own.pop());
      const bare = parts.map((own) => (front ? "…" : "") + own.join("") + (back ? "…" : ""));
      if (distinct(bare)) short = bare;
    }
    // Half of what fits from the front, half from the end; more from the end, then from the front, where these are alike.
    for (const share of [0.5, 0.2, 0.8, 0, 1]) {
      const cut = short.map((label) => {
        let kept = label.length;
        let text = label;
        while (context.measureText(text).width > room && kept > 2) {
          kept -= 1;
          const front = Math.round(share * kept);
          text = `${label.slice(0, front)}…${label.slice(label.length - (kept - front))}`;
        }
        return text;
      });
      if (distinct(cut)) return cut;
    }
    return short.map((label, i) => `${i + 1}…${label.slice(-4)}`);
  }

  // The same for the ticks of a scale: `share` of the chart's extent is theirs.
  function tickLabels(labels, share) {
    let made = { room: 0, labels };
    return function (value) {
      const room = share * (this.axis === "y" ? this.chart.width : this.chart.height);
      if (room !== made.room) {
        this.ctx.font = Chart.helpers.toFont(this.options.ticks.font ?? Chart.defaults.font).string;
        made = { room, labels: fitted(labels, room, this.ctx) };
      }
      return made.labels[value];
    };
  }

  function axis(description, plot, values) {
    const labelled = description.labels !== undefined && plot.kind !== "points";
    const places = description.labels !== undefined && plot.kind === "points";
    const ends = plot.series.flatMap((series) => series.points.flatMap((p) => (p.low === undefined ? [] : [p.low, p.high])));
    const ticks = { color: style("--text"), autoSkip: !(labelled && description.labels.length <= 40) };
    if (places) Object.assign(ticks, { stepSize: 1, autoSkip: false });
    if (description.labels !== undefined) ticks.callback = tickLabels(description.labels, 0.4);
    return {
      type: labelled ? "category" : "linear",
      labels: labelled ? description.labels : undefined,
      min: places ? -0.5 : undefined,
      max: places ? description.labels.length - 0.5 : undefined,
      afterBuildTicks: places ? (scale) => (scale.ticks = description.labels.map((_, value) => ({ value }))) : undefined,
      offset: labelled && !(plot.kind === "lines"),
      stacked: plot.stacked === true,
      suggestedMin: values && ends.length > 0 ? Math.min(...ends) : undefined,
      suggestedMax: values && ends.length > 0 ? Math.max(...ends) : undefined,
      grace: values && plot.kind !== "bars" ? "4%" : undefined,
      title: { display: true, text: description.title, color: style("--text") },
      grid: { color: style("--line") },
      ticks,
    };
  }

  function configuration(plot) {
    const x = axis(plot.x, plot, false);
    const y = axis(plot.y, plot, true);
    const place = (p) => (plot.horizontal ? p.y : plot.kind === "points" ? plot.x.labels[Math.round(p.x)] : p.x);
    const title = (items) => (items.length > 0 ? `${plot.x.title}: ${place(items[0].raw)}` : "");
    const tooltip = (item) => {
      const p = item.raw;
      const value = plot.horizontal ? p.x : p.y;
      const interval = p.low === undefined ? "" : ` (${number(p.low)} to ${number(p.high)})`;
      return `${item.dataset.label}: ${number(value)}${interval}`;
    };
    return {
      type: plot.kind === "bars" ? "bar" : "line",
      data: { datasets: datasets(plot) },
      plugins: [whiskers],
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        indexAxis: plot.horizontal ? "y" : "x",
        interaction: { mode: "nearest", intersect: false },
        scales: plot.horizontal ? { x: y, y: x } : { x, y },
        plugins: {
          legend: {
            display: plot.series.length > 1 && plot.series.length <= 12,
            labels: {
              color: style("--text"),
              usePointStyle: true,
              boxWidth: plot.ramp ? 24 : 9,
              boxHeight: 9,
              generateLabels: (chart) => {
                const all = Chart.defaults.plugins.legend.labels.generateLabels(chart);
                // A row for each of many would take the plot's place.
                const room = all.length > 4 ? Math.max(0.28 * chart.width, 170) : 0.85 * chart.width;
                const short = fitted(all.map((entry) => entry.text), room, chart.ctx);
                return all.map((entry, i) => ({ ...entry, text: short[i] }));
              },
            },
          },
          tooltip: { callbacks: { title, label: tooltip } },
        },
      },
    };
  }

  const drawn = [];
  function draw(i, plot) {
    if (drawn[i]) drawn[i].destroy();
    const canvas = document.getElementById(`plot${i}`);
    const frame = canvas.parentElement;
    const legendRows = frame.clientWidth < 600 && plot.series.length > 4 ? plot.series.length : 0;
    frame.style.height = plot.horizontal ? `${7 + 1.6 * plot.x.labels.length}rem` : `${22 + 1.4 * legendRows}rem`;
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    drawn[i] = new Chart(canvas, configuration(plot));
  }

  const chosen = plots.map((plot, i) => {
    if (!plot.choices) return plot;
    const choice = document.createElement("select");
    const context = document.createElement("canvas").getContext("2d");
    context.font = `16px ${getComputedStyle(document.body).fontFamily}`;
    const names = fitted(plot.choices.map((entry) => entry.name), Math.min(0.75 * window.innerWidth, 900), context);
    plot.choices.forEach((entry, k) => choice.add(new Option(names[k])));
    choice.addEventListener("change", () => {
      chosen[i] = plot.choices[choice.selectedIndex].plot;
      draw(i, chosen[i]);
    });
    const label = document.createElement("label");
    label.append(`${plot.choose} `, choice);
    const frame = document.getElementById(`plot${i}`).parentElement;
    frame.parentElement.insertBefore(label, frame);
    return plot.choices[0].plot;
  });
  const drawAll = () => chosen.forEach((plot, i) => draw(i, plot));
  drawAll();
  dark.addEventListener("change", drawAll);
})();
