package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"artesian/internal/compute/lang"
	"artesian/internal/faas"
)

// The functions below write the platform's own log lines about a function, as text or, for functions that log JSON, as
// events of Lambda's telemetry schema, at the level that the function asked for; nothing below it. Lines have no final
// line feed; one line may consist of several.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html

const stamp = "2006-01-02T15:04:05.000Z"

// InitStartLines announces a new instance and what runs in it.
func InitStartLines(v *faas.Version, served string, at time.Time) []string {
	if !isJSON(v) {
		return []string{"INIT_START Runtime Version: " + served}
	}
	return event(v, at, levelInfo, "platform.initStart", record{
		InitializationType: InitializationType(v), Phase: "init", RuntimeVersion: served, FunctionName: v.ID.Name, FunctionVersion: v.ID.Version,
	})
}

// The phases in which a function may be initialised.
const (
	PhaseInit   = "init"   // before a call
	PhaseInvoke = "invoke" // again, within the time of a call
)

// InitReportLines reports an initialisation that went wrong; err is what Session.Init returned. Lambda logs no text about
// one that succeeded.
func InitReportLines(v *faas.Version, phase string, d time.Duration, err error, at time.Time) []string {
	status, kind := outcome(err)
	if !isJSON(v) {
		if err == nil {
			return nil
		}
		return []string{fmt.Sprintf("INIT_REPORT Init Duration: %s ms\tPhase: %s\t%s", ms2(d), phase, statusText(status, kind))}
	}
	level := levelWarn
	if err == nil {
		level = levelDebug
	}
	return event(v, at, level, "platform.initReport", record{
		InitializationType: InitializationType(v), Phase: phase, Status: status, ErrorType: kind, Metrics: &metrics{Duration: ms3(d)},
	})
}

// ImageReportLines reports the initialisation of an instance of which an image is to be made, and what the function wants done before.
// Unlike others it is logged as text also when it went well.
func ImageReportLines(v *faas.Version, d time.Duration, err error, at time.Time) []string {
	if err == nil && !isJSON(v) {
		return []string{"INIT_REPORT Init Duration: " + ms2(d) + " ms"}
	}
	return InitReportLines(v, PhaseInit, d, err, at)
}

// RestoreStartLines announces an instance that goes on from an image.
func RestoreStartLines(v *faas.Version, served string, at time.Time) []string {
	if !isJSON(v) {
		return []string{"RESTORE_START Runtime Version: " + served}
	}
	return event(v, at, levelInfo, "platform.restoreStart", record{RuntimeVersion: served, FunctionName: v.ID.Name, FunctionVersion: v.ID.Version})
}

// RestoreReportLines reports how that went; err is what Session.Init returned.
func RestoreReportLines(v *faas.Version, cold *faas.Cold, err error, at time.Time) []string {
	all, _ := restoreOf(cold)
	status, kind := outcome(err)
	if !isJSON(v) {
		line := "RESTORE_REPORT Restore Duration: " + ms2(all) + " ms"
		if err != nil {
			line += "\t" + statusText(status, kind)
		}
		return []string{line}
	}
	level := levelInfo
	if err != nil {
		level = levelWarn
	}
	return event(v, at, level, "platform.restoreReport", record{Status: status, ErrorType: kind, Metrics: &metrics{Duration: ms3(all)}})
}

// restoreOf is how long a restore took in all, and what of that is billed: that the process woke up and what the function wants done
// then (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-monitoring.html).
func restoreOf(c *faas.Cold) (all, billed time.Duration) {
	if !c.Restored() {
		return 0, 0
	}
	billed = c.Runtime + c.Init
	return c.Sandbox + billed, billed
}

// BilledMS is what a call is billed: its run, and the initialisation or the part of a restore that is billed. Lambda bills a restore
// rounded up by itself.
func BilledMS(u *faas.Usage) int64 {
	switch _, restored := restoreOf(u.Cold); {
	case restored > 0:
		return whole(u.Run) + whole(restored)
	case u.Cold != nil:
		return whole(u.Run + u.Cold.Runtime + u.Cold.Init)
	}
	return whole(u.Run)
}

// whole is a duration in milliseconds, rounded up.
func whole(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// outcome classifies the end of an initialisation.
func outcome(err error) (status, kind string) {
	var f *lang.Failure
	var crashed *lang.Crashed
	switch {
	case err == nil:
		return "success", ""
	case errors.As(err, &crashed):
		return "error", crashed.Type
	case errors.As(err, &f):
		return "error", f.Type
	case errors.Is(err, lang.ErrExited), errors.As(err, new(*lang.ProtocolError)):
		return "error", ErrorExit
	}
	return "timeout", ""
}

// StartLines opens an invocation, of a tenant if there is one.
func StartLines(v *faas.Version, id, tenant string, at time.Time) []string {
	if !isJSON(v) {
		return []string{"START RequestId: " + id + " Version: " + v.ID.Version}
	}
	return event(v, at, levelInfo, "platform.start", record{RequestID: id, Version: v.ID.Version, Tenant: tenant})
}

// FailureLines says what the platform found out about a call that broke: its time was up, or its runtime died. What a
// runtime reported itself, it has logged itself. In JSON the closing lines say it.
func FailureLines(v *faas.Version, id string, f *lang.Failure, at time.Time) []string {
	if f == nil || isJSON(v) {
		return nil
	}
	var d document
	if err := json.Unmarshal(f.Document, &d); err != nil {
		return nil
	}
	message, ours := strings.CutPrefix(d.Message, requestPrefix(id))
	switch {
	case !ours:
		return nil
	case f.Type == ErrorTimeout:
		return []string{at.UTC().Format(stamp) + " " + id + " " + message + "\n"}
	}
	return []string{d.Message + "\n" + f.Type}
}

// EndLines closes an invocation with its figures.
func EndLines(v *faas.Version, u *faas.Usage, tenant string, f *lang.Failure, at time.Time) []string {
	if !isJSON(v) {
		return []string{endText(u), reportText(u, f)}
	}
	return append(DoneLines(v, u, tenant, f, at), ReportLines(v, u, tenant, f, at)...)
}

// DoneLines tells that the runtime is done with an invocation.
func DoneLines(v *faas.Version, u *faas.Usage, tenant string, f *lang.Failure, at time.Time) []string {
	if !isJSON(v) {
		return []string{endText(u)}
	}
	status, kind := statusOf(f)
	level := levelDebug
	if f != nil {
		level = levelWarn
	}
	return event(v, at, level, "platform.runtimeDone", record{
		RequestID: u.RequestID, Status: status, ErrorType: kind, Tenant: tenant, Metrics: &metrics{Duration: ms3(u.Run), Produced: &u.BytesOut},
	})
}

// ReportLines tells what an invocation took.
func ReportLines(v *faas.Version, u *faas.Usage, tenant string, f *lang.Failure, at time.Time) []string {
	if !isJSON(v) {
		return []string{reportText(u, f)}
	}
	status, kind := statusOf(f)
	level := levelInfo
	if f != nil {
		level = levelWarn
	}
	return event(v, at, level, "platform.report", record{
		RequestID: u.RequestID, Status: status, ErrorType: kind, Tenant: tenant,
		Metrics: reportOf(u),
	})
}

func reportOf(u *faas.Usage) *metrics {
	m := &metrics{Duration: ms3(u.Run), Billed: u.BilledMS, Memory: u.MemoryMB, Peak: &u.PeakMB, Init: ms3(initOf(u))}
	if restore, billed := restoreOf(u.Cold); restore > 0 {
		m.Restore, m.BilledRestore = ms3(restore), whole(billed)
	}
	return m
}

// initOf is what is reported of an initialisation.
func initOf(u *faas.Usage) time.Duration {
	if u.Cold == nil || u.Cold.Restored() || u.Outcome == faas.OutcomeInit {
		return 0
	}
	return u.Cold.Runtime + u.Cold.Init
}

func endText(u *faas.Usage) string { return "END RequestId: " + u.RequestID }

func reportText(u *faas.Usage, f *lang.Failure) string {
	var room [256]byte
	b := append(append(room[:0], "REPORT RequestId: "...), u.RequestID...)
	b = appendMS2(append(b, "\tDuration: "...), u.Run)
	b = strconv.AppendInt(append(b, " ms\tBilled Duration: "...), u.BilledMS, 10)
	b = strconv.AppendInt(append(b, " ms\tMemory Size: "...), int64(u.MemoryMB), 10)
	b = strconv.AppendInt(append(b, " MB\tMax Memory Used: "...), int64(u.PeakMB), 10)
	b = append(b, " MB\t"...)
	if init := initOf(u); init > 0 {
		b = append(appendMS2(append(b, "Init Duration: "...), init), " ms\t"...)
	}
	if restore, billed := restoreOf(u.Cold); restore > 0 {
		b = appendMS2(append(b, "Restore Duration: "...), restore)
		b = append(strconv.AppendInt(append(b, " ms\tBilled Restore Duration: "...), whole(billed), 10), " ms\t"...)
	}
	// An exception of the handler is the function's own affair; the rest is a status of the environment.
	if f != nil && u.Outcome != faas.OutcomeError {
		b = append(b, statusText(statusOf(f))...)
	}
	return string(b)
}

func statusOf(f *lang.Failure) (status, kind string) {
	switch {
	case f == nil:
		return "success", ""
	case f.Type == ErrorTimeout:
		return "timeout", ""
	}
	return "error", f.Type
}

func statusText(status, kind string) string {
	if kind == "" {
		return "Status: " + status
	}
	return "Status: " + status + "\tError Type: " + kind
}

// The levels of system events.
const (
	levelDebug = iota
	levelInfo
	levelWarn
)

// event returns one JSON event, or nothing when the function's system log level leaves it out.
func event(v *faas.Version, at time.Time, level int, kind string, r record) []string {
	least := levelInfo
	switch v.Logging.SystemLevel {
	case "DEBUG":
		least = levelDebug
	case "WARN":
		least = levelWarn
	}
	if level < least {
		return nil
	}
	line, err := json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record record `json:"record"`
	}{at.UTC().Format(stamp), kind, r})
	if err != nil {
		panic(err) // strings and finite numbers
	}
	return []string{string(line)}
}

// record holds the fields of all events; those of others stay empty.
type record struct {
	InitializationType string   `json:"initializationType,omitempty"`
	Phase              string   `json:"phase,omitempty"`
	RuntimeVersion     string   `json:"runtimeVersion,omitempty"`
	FunctionName       string   `json:"functionName,omitempty"`
	FunctionVersion    string   `json:"functionVersion,omitempty"`
	RequestID          string   `json:"requestId,omitempty"`
	Version            string   `json:"version,omitempty"`
	Name               string   `json:"name,omitempty"`
	State              string   `json:"state,omitempty"`
	Events             []string `json:"events,omitempty"`
	Status             string   `json:"status,omitempty"`
	ErrorType          string   `json:"errorType,omitempty"`
	Tenant             string   `json:"tenantId,omitempty"`
	Metrics            *metrics `json:"metrics,omitempty"`
}

type metrics struct {
	Duration float64 `json:"durationMs"`
	Produced *int64  `json:"producedBytes,omitempty"`
	Billed   int64   `json:"billedDurationMs,omitempty"`
	Memory   int     `json:"memorySizeMB,omitempty"`
	Peak     *int    `json:"maxMemoryUsedMB,omitempty"`
	Init     float64 `json:"initDurationMs,omitempty"`

	Restore       float64 `json:"restoreDurationMs,omitempty"`
	BilledRestore int64   `json:"billedRestoreDurationMs,omitempty"`
}

// Wanted reports whether a function's log keeps a message of its own. With the JSON format, Lambda filters by the key
// "level" of messages that are JSON objects; what has none counts as INFO. In text everything is kept.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func Wanted(v *faas.Version, message string) bool {
	if !isJSON(v) {
		return true
	}
	least := levelNumber(v.Logging.ApplicationLevel)
	if least <= levelNumber("TRACE") {
		return true
	}
	var m struct {
		Level string `json:"level"`
	}
	if strings.HasPrefix(message, "{") {
		_ = json.Unmarshal([]byte(message), &m) // what can't be read has no level
	}
	return levelNumber(m.Level) >= least
}

// levelNumber orders the names of levels; an unknown one is INFO.
func levelNumber(name string) int {
	switch strings.ToUpper(name) {
	case "TRACE":
		return 0
	case "DEBUG":
		return 1
	case "WARN", "WARNING":
		return 3
	case "ERROR":
		return 4
	case "FATAL", "CRITICAL":
		return 5
	}
	return 2
}

func isJSON(v *faas.Version) bool { return v.Logging.Format == "JSON" }

// ms2 is a duration in milliseconds with two digits after the point, as in text lines.
func ms2(d time.Duration) string { return string(appendMS2(nil, d)) }

func appendMS2(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

// ms3 is a duration in milliseconds to the microsecond, as in events.
func ms3(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }
