/** Starts the page: reads the report, and puts each part where its tab shows it. */
import { Details } from "./details.js";
import { element } from "./dom.js";
import { kindLegend } from "./plot_frame.js";
import { GraphView } from "./graph_view.js";
import { LayerBars } from "./layer_bars.js";
import { LayerTable } from "./layer_table.js";
import { MemoryTimeline } from "./memory_timeline.js";
import { kindsOf, kindTitle } from "./op_kinds.js";
import { mountOverview } from "./overview.js";
import { mountRefusals } from "./refusals.js";
import { readReport } from "./report_data.js";
import { Roofline } from "./roofline.js";
import { Selection } from "./selection.js";
import { Tabs } from "./tabs.js";
import { mountThemeButton } from "./theme.js";

const report = readReport();
const selection = new Selection(report);
let graphView = null;
let layerTable = null;

/** Go to the graph after a stage, and to a node in it. */
function showStage(stage, key = null) {
  tabs.show("graph");
  graphView.showStage(stage, key);
}

/** Go to a layer in the table. */
function showLayer(step) {
  tabs.show("layers");
  selection.chooseLayer(step);
}

/** Go to the selected node in the graph that is shown. */
function showGraph() {
  tabs.show("graph");
  graphView.revealSelected();
}

function mountLayers(container) {
  layerTable = new LayerTable(report, selection);
  const bars = new LayerBars(report, selection);
  container.append(
    element(
      "div",
      { class: "card" },
      bars.root,
      kindLegend(kindsOf(report.layers.map((layer) => layer.op)), kindTitle),
    ),
    element("div", { class: "card" }, layerTable.root),
  );
}

const tabs = new Tabs(document.getElementById("tabs"), document.getElementById("content"), [
  { id: "overview", title: "Overview", mount: (part) => mountOverview(part, report, { showStage, showLayer }) },
  {
    id: "graph",
    title: "Graph",
    mount: (part) => {
      graphView = new GraphView(part, report, selection);
    },
  },
  { id: "layers", title: "Layers", mount: mountLayers, onShow: () => layerTable.revealSelected() },
  { id: "roofline", title: "Roofline", mount: (part) => new Roofline(part, report, selection) },
  { id: "memory", title: "Memory", mount: (part) => new MemoryTimeline(part, report, selection) },
  { id: "refused", title: "Refused", mount: (part) => mountRefusals(part, report, selection) },
]);

document.getElementById("model-name").textContent = report.model.name.split(/[\\/]/).at(-1);
document.getElementById("model-facts").textContent =
  `${report.model.target} · -O${report.model.level} · ${report.machine.name} · cnnc ${report.model.version}`;
mountThemeButton();
new Details(document.getElementById("details"), report, selection, { showStage, showGraph, showLayer });
tabs.show("overview");
