// What the dashboards use of ECharts, and nothing else: bars, lines, a canvas. Tooltips are drawn on the canvas, because a
// strict content policy allows no style attributes in HTML.
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, LineChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

export { init };
