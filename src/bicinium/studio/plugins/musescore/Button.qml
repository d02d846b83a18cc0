// A button.

import QtQuick 2.0

Rectangle {
    property alias label: text.text
    signal pressed

    width: text.width + 20
    height: 28
    radius: 3
    border.color: "#808080"
    color: area.pressed ? "#d0d0d0" : "#e8e8e8"

    Text {
        id: text
        anchors.centerIn: parent
    }
    MouseArea {
        id: area
        anchors.fill: parent
        onClicked: parent.pressed()
    }
}
