/** The parts of chart.js that the page draws with. Loaded by the first chart, not with the page. */
import {
  BarController,
  BarElement,
  Chart,
  Filler,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
} from 'chart.js'

Chart.register(LineController, LineElement, PointElement, BarController, BarElement, LinearScale, Filler, Tooltip)

export { Chart }
