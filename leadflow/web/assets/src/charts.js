// What the dashboards use of ECharts, and nothing else: bars on a canvas. Tooltips are drawn on the canvas, because a
// strict content policy allows no style attributes in HTML.
import { BarChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, GridComponent, TooltipComponent, CanvasRenderer]);

export { init };
