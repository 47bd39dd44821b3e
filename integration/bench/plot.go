package main

import (
	"bytes"
	_ "embed" // the drawing's template
	"strconv"
	"text/template"

	"github.com/dustin/go-humanize"
)

//go:embed plot.svg.tmpl
var plotTemplate string

// The measures of the plot, in pixels: panels stand in columns, and have a bar
// for each system.
const (
	plotColumns  = 2
	columnWidth  = 400
	plotMargin   = 16
	labelWidth   = 76
	longestBar   = 220
	barHeight    = 20
	panelHead    = 46
	panelBetween = 22
)

type (
	drawing struct {
		Width, Height int
		Label         string
		Panels        []panel
	}
	panel struct {
		X, Y, NoteY int
		What, Note  string
		Bars        []bar
	}
	bar struct {
		LabelX, X, Y, TextY, Width, ValueX int
		System, Value                      string
		Ours                               bool
	}
)

// plot draws the medians of each line, a panel a line, as SVG.
func plot(systems []string, lines []*line) ([]byte, error) {
	height := panelHead + len(systems)*barHeight + panelBetween
	d := drawing{
		Width: plotMargin + plotColumns*columnWidth, Height: plotMargin + (len(lines)+plotColumns-1)/plotColumns*height,
		Label: "sluice beside other programs",
	}
	for n, l := range lines {
		p := panel{X: plotMargin + n%plotColumns*columnWidth, Y: plotMargin + n/plotColumns*height + 14, What: l.Name, Note: l.note()}
		p.NoteY = p.Y + 18
		p.Bars = l.bars(systems, p.X, p.Y+panelHead-18)
		d.Panels = append(d.Panels, p)
	}
	parsed, err := template.New("plot").Parse(plotTemplate)
	if err != nil {
		return nil, err
	}
	var svg bytes.Buffer
	err = parsed.Execute(&svg, d)
	return svg.Bytes(), err
}

// note says what the length of a bar means.
func (l *line) note() string {
	switch l.metric {
	case metricDispatch:
		return l.Unit + ", more is better"
	case metricIngest:
		return l.Unit + ", more is better; " + synced
	case metricWhole50, metricWhole99:
		return l.Unit + ", less is better; " + synced
	}
	return l.Unit + ", less is better"
}

// synced says who waits for the disk before an event is acknowledged.
const synced = "floor and sluice sync first"

func (l *line) bars(systems []string, x, y int) (bars []bar) {
	longest := 0.0
	for _, value := range l.Median {
		longest = max(longest, value)
	}
	for _, name := range systems {
		value, found := l.Median[name]
		if !found {
			continue
		}
		b := bar{System: name, Ours: name == nameSluice, LabelX: x + labelWidth - 8, X: x + labelWidth, Y: y, TextY: y + 12, Value: number(value, l.digits)}
		if longest > 0 {
			b.Width = max(1, int(value/longest*longestBar))
		}
		b.ValueX = b.X + b.Width + 6
		bars = append(bars, b)
		y += barHeight
	}
	return bars
}

// number shows whole numbers with their thousands.
func number(value float64, digits int) string {
	if digits == 0 {
		return humanize.Comma(int64(value + 0.5))
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}
